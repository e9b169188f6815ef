"""Sphinx's settings; `python -m scripts.site` lays the pages out and runs it."""

import re
from typing import Any

from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

import genart_jax

project = "genart_jax"
author = "the authors of genart_jax"
release = version = genart_jax.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"genart_jax {release}"
html_copy_source = False
html_show_sourcelink = False

nb_execution_mode = "off"  # `make notebooks` runs them; their outputs are kept with them
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Pages of results begin their sections where they like; and an attribute's name in a docstring is looked up as if it
# were a reference, which two classes that have one of that name make ambiguous.
suppress_warnings = ["myst.header", "ref.python"]

default_role = "code"  # one backtick in a docstring is code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"exclude-members": "__new__, __init__"}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


SECTIONS = Config(napoleon_use_ivar=True)


def plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with Google's sections: a bar and a star in front of a word are themselves.

    Those of attributes have no sections: by itself napoleon takes all before their first colon for a type.
    """
    for i, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [re.sub(r"(?<=\S )(\*+)(?=\w)", r"\\\1", part.replace("|", "\\|")) for part in parts[::2]]
        lines[i] = "`".join(parts)
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, SECTIONS, app, what, name, obj, options).lines()


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain)
