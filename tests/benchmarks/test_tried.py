"""What is tried can be tried: every variant's patch finds what it replaces."""

import pytest

from benchmarks import tried


@pytest.mark.parametrize(("label", "variants"), [(label, variants) for label, _, variants in tried.CASES])
def test_patches_are_put_and_taken_back(label, variants):
    for name, patch in variants.items():
        try:
            with patch():
                pass
        except AttributeError as error:
            pytest.fail(f"{label}: {name}: {error}")
