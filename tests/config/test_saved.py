"""config.json, as it comes back from other programs."""

import json

import genart_jax as ga
from genart_jax.train import checkpoint


def test_a_byte_order_mark_is_no_damage(tmp_path):
    data = {"source": "emoji", "fingerprint": "", "class_names": {}, "condition_table": []}
    saved = checkpoint.Saved(ga.get_config("mlp_vae", "tiny"), data)
    text = json.dumps(checkpoint.content(saved))
    (tmp_path / "config.json").write_text(text, encoding="utf-8-sig")
    assert checkpoint.read_config(tmp_path).run == saved.run
