"""The library's log on the terminal."""

import io
import logging

from genart_jax.app.listen import listening


def test_each_line_is_shown_once(capsys):
    logger, root = logging.getLogger("genart_jax.somewhere"), logging.getLogger()
    other = logging.StreamHandler(elsewhere := io.StringIO())  # as a library sets one up for itself
    root.addHandler(other)
    try:
        for _ in range(2):
            with listening():
                logger.info("64 of 128 pictures drawn")
            assert capsys.readouterr().err == "64 of 128 pictures drawn\n"
        assert elsewhere.getvalue() == ""
        logger.warning("a library's user hears of it as ever")
        assert elsewhere.getvalue()
    finally:
        root.removeHandler(other)
