"""What paints is offered where its weights are."""

from types import SimpleNamespace

from genart_jax import assets
from genart_jax.app.studio import stylise


def test_adain_where_vgg19_is(monkeypatch):
    adain = SimpleNamespace(name="mine", saved=SimpleNamespace(run=SimpleNamespace(name="adain")))
    monkeypatch.setattr(assets, "available", lambda name: name == "vgg19")
    names = [field["name"] for field in stylise.fields(adain)]
    assert names == ["picture", "style", "strength", "keep_color", "size", "where"]
    monkeypatch.setattr(assets, "available", lambda name: False)
    assert stylise.fields(adain) is None


def test_weights_that_are_published_only_where_they_are(monkeypatch):
    monkeypatch.setattr(assets, "available", lambda name: name == "vgg19")
    assert stylise.available() == ["gatys"]
    (form,) = stylise.Painter("gatys").forms()
    assert [field["kind"] for field in form["fields"][:2]] == ["picture", "picture"]
