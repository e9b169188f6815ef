"""The embedded art set as the TensorFlow Datasets set `genart_emoji`, prepared and read without TensorFlow.

    python -m genart_jax.data.emoji_tfds --data-dir DIR [--size 32]

    import genart_jax.data.emoji_tfds                       # registers the name
    import tensorflow_datasets as tfds
    train = tfds.data_source("genart_emoji/32px", split="train", data_dir=DIR)
    train[0]["image"]                                       # uint8 (32, 32, 3)

Splits, labels and pixels are those of `genart_jax.data.emoji`. Files are `array_record`, which `tfds.data_source` and
grain read at random places. Needs the extra `data`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from genart_jax.config import UserError
from genart_jax.data import emoji

_MISSING = 'the art set for TensorFlow Datasets needs more packages: pip install "genart_jax[data]"'

tfds: Any = None  # importing this module must work without the extra: `require` complains when it is used
try:
    for _name in ("array_record", "importlib_resources"):
        importlib.import_module(_name)
    tfds = importlib.import_module("tensorflow_datasets")
except ImportError:
    pass


if tfds is not None:

    class GenartEmoji(tfds.core.GeneratorBasedBuilder):
        """Icons in five styles over nine subjects; see `genart_jax/data/embedded/README.md`."""

        __module__ = "genart_jax.data.emoji_tfds"  # also under `python -m`: TFDS records where the builder lives
        name = "genart_emoji"
        VERSION = tfds.core.Version("1.0.0")
        RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
        BUILDER_CONFIGS: ClassVar[list[object]] = [
            tfds.core.BuilderConfig(name=f"{size}px", description=f"Pictures of {size}x{size} pixels.")
            for size in emoji.SIZES
        ]

        def _info(self) -> Any:
            size = int(self.builder_config.name.removesuffix("px"))
            return tfds.core.DatasetInfo(
                builder=self,
                description="Icons of Noto Emoji and Fluent Emoji: style, subject, dominant colour and name of each.",
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                        **{key: tfds.features.ClassLabel(names=names) for key, names in emoji.CLASS_NAMES.items()},
                        "name": tfds.features.Text(),
                    }
                ),
                supervised_keys=("image", "shape"),
                license="Apache-2.0 (noto, noto-v1) and MIT (fluent, fluent-flat, fluent-high-contrast)",
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            art = emoji.read(int(self.builder_config.name.removesuffix("px")))
            return {"train": self._generate_examples(art, False), "test": self._generate_examples(art, True)}

        def _generate_examples(self, art: emoji.Art, test: bool) -> Iterator[tuple[int, dict[str, Any]]]:
            for row in (art.test == test).nonzero()[0].tolist():
                png = io.BytesIO()  # encoded here: TFDS itself needs TensorFlow to encode an array
                Image.fromarray(art.x[row]).save(png, "PNG")
                png.seek(0)
                labels = {key: int(getattr(art, key)[row]) for key in emoji.CLASS_NAMES}
                yield row, {"image": png, **labels, "name": str(art.name[row])}


def require() -> None:
    """Raises UserError where TensorFlow Datasets is missing."""
    if tfds is None:
        raise UserError(_MISSING)


def prepare(data_dir: str | os.PathLike[str], size: int = 32) -> Path:
    """Writes the set of `size` pixels under `data_dir`, where it is not there yet.

    Returns:
      The folder with the files, `data_dir`/genart_emoji/32px/1.0.0 for 32.

    Raises:
      UserError: the extra is missing, there is no such size, or its file has not been built.
    """
    require()
    emoji.read(size)  # the errors of a missing file, before TFDS makes folders
    builder = GenartEmoji(config=f"{size}px", data_dir=Path(data_dir).expanduser(), file_format="array_record")
    tfds.disable_progress_bar()
    builder.download_and_prepare()
    return Path(builder.data_dir)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m genart_jax.data.emoji_tfds", description="Prepare genart_emoji.")
    parser.add_argument("--data-dir", type=Path, required=True, help="the data_dir of TensorFlow Datasets")
    parser.add_argument("--size", type=int, choices=emoji.SIZES, default=32, help="height and width (32)")
    args = parser.parse_args(argv)
    try:
        folder = prepare(args.data_dir, args.size)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
