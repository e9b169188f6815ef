#!/usr/bin/env bash
# sbatch docs/clusters/slurm.sh MODEL [options of genart train]
# One task a GPU: JAX gives each process the GPU that has its SLURM_LOCALID.
#SBATCH --job-name=genart
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --requeue
# SIGTERM a minute before the time is up: every process saves the same checkpoint and ends with code 0.
#SBATCH --signal=TERM@60
set -euo pipefail
: "${GENART:=genart}"  # the command, from the environment that the tasks have
# The run directory must be on a file system that all nodes see.
srun --kill-on-bad-exit=1 $GENART train "$@"
