"""Writes the features of real icons that come with the package, into genart_jax/assets/features.

    genart assets fetch efficientnet_lite0
    python -m scripts.real_features

They are those that `genart evaluate` and `score_run` take at their defaults on the art set: lite0's at 224 pixels of
twice 2,000 training icons (the second ones give the distances' floors), and of the test split. Files of other data or
weights stay; remove them by hand.
"""

from __future__ import annotations

from genart_jax.data.open import open_data
from genart_jax.evaluate import pictures, shipped
from genart_jax.evaluate.extractors import make_extractor

_SETS = (("train", 2000, 0), ("train", 2000, 2000), ("test", 2000, 0))


def main() -> None:
    """Writes the files, and says how near the rounded values are."""
    extractor, source = make_extractor("lite0"), open_data("emoji").source_for_training()
    for split, num, skip in _SETS:
        rows = pictures.choose_rows(pictures.split_of(source, split), num, skip)
        values = pictures.made_features(extractor, source, split, rows).values
        path = shipped.write(pictures.digest_of(extractor, source, split, rows), values)
        found = shipped.read(path.stem)
        assert found is not None
        error, size = abs(found - values).max(), path.stat().st_size / 1e6
        print(f"{path.name}: {split}, {len(rows)} from {skip} on, {size:.2f} MB, within {error:.1e}")


if __name__ == "__main__":
    main()
