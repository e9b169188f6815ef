#!/usr/bin/env bash
# TPU=my-slice ZONE=europe-west4-b docs/clusters/tpu_pod.sh MODEL [options of genart train]
# The same command on every host of the slice; JAX finds the others by itself. First copy a fresh checkout there, from
# within it, and install it:
#   gcloud compute tpus tpu-vm scp --recurse "$PWD" "$TPU":genart --zone "$ZONE" --worker=all
#   gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command 'cd genart && pip install ".[tpu]"'
set -euo pipefail
: "${TPU:?the name of the slice}" "${ZONE:?its zone}" "${GENART:=genart}"
# The run directory must be on a file system that all hosts see (Filestore by NFS, or a bucket by gcsfuse).
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all --command "$GENART train $(printf '%q ' "$@")"
