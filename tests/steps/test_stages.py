"""A model of another's codes: what it is trained on. Nothing is compiled."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import genart_jax as ga
from genart_jax.config import Data
from genart_jax.data.source import open_source
from genart_jax.steps import stages
from genart_jax.train import checkpoint
from genart_jax.train.checks import compare_tokenizer
from genart_jax.train.trainer import Trainer


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of pictures, and the configuration of a tokenizer that was trained on the first, cut in its way."""
    rng = np.random.default_rng(0)
    for name in ("mine", "others"):
        (tmp_path / name).mkdir()
        for i in range(10):
            pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    data = Data(source=f"folder:{tmp_path}/mine", image_size=(16,), test_fraction=0.3)
    source = open_source(data)
    run = ga.configure("vqvae", preset="tiny", image_shape=source.image_shape)
    facts = {"source": source.name, "fingerprint": source.fingerprint, "class_names": {}, "condition_table": []}
    checkpoint.write_config(tmp_path / "codes", checkpoint.Saved(dataclasses.replace(run, data=data), facts))
    return tmp_path


def prior(**data):
    run = ga.configure("code_prior", preset="tiny", tokenizer="codes", data=data, parallel={"data": 1})
    notes = []
    tell = lambda event, values: notes.append(values["text"]) if event == "note" else None
    return Trainer(run, stages.expanded("prior"), tell), notes


def test_without_a_source_the_tokenizers_data_is_taken(folders):
    trainer, notes = prior()
    assert trainer.saved.data["source"] == f"folder:{folders}/mine"
    assert trainer.saved.data["fingerprint"] == checkpoint.read_config("codes").data["fingerprint"]
    assert notes == []
    assert not (folders / "prior").exists()


def test_another_source_is_taken_with_a_warning(folders):
    trainer, (note,) = prior(source="folder:others", image_size=(16,))
    assert trainer.saved.data["source"] == f"folder:{folders}/others"
    assert f"was trained on folder:{folders}/mine, and this is on folder:{folders}/others" in note
    assert prior(source="folder:mine", image_size=(16,), test_fraction=0.3)[1] == []


def test_the_source_of_all_others_is_the_art_set(folders):
    for run in (ga.get_config("dcgan"), ga.get_config("code_prior", "tiny"), ga.get_config("code_prior")):
        assert stages.with_data(run).data == dataclasses.replace(run.data, source="emoji")
    named = ga.configure("code_prior", tokenizer="codes", data={"source": "emoji"})
    assert stages.with_data(named) is named, "asked for by name"
    kept = ga.configure("code_prior", tokenizer="codes", data={"flip": True, "test_fraction": 0.2})
    expected = Data(source=f"folder:{folders}/mine", image_size=(16,), test_fraction=0.2, flip=True)
    assert stages.with_data(kept).data == expected
    with pytest.raises(ga.UserError, match="is not a run"):
        stages.with_data(ga.configure("code_prior", tokenizer="nothing"))


def test_a_tokenizer_that_is_gone_is_not_asked(folders):
    run = stages.complete(ga.configure("code_prior", tokenizer="codes"))
    (folders / "codes" / "config.json").unlink()
    compare_tokenizer(run, open_source(Data(source="folder:others")), pytest.fail)
