"""The judges' page and what it asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from genart_jax.app.judge.items import Items
from genart_jax.app.judge.plan import Ask, Question, questions
from genart_jax.app.judge.votes import Vote, Votes
from genart_jax.app.studio import pages
from genart_jax.app.studio.limits import Limits
from genart_jax.app.studio.security import WHO, Guard
from genart_jax.config import UserError
from genart_jax.runtime.values import Json

STATIC = Path(__file__).parent / "static"
SCALES = "quality", "originality", "style"
_NAME = re.compile(r"[\w .-]{1,40}")


class Judge(BaseModel):
    """Who judges."""

    model_config = ConfigDict(extra="forbid")
    judge: Annotated[str, Field(max_length=40)]


class Answer(Judge):
    """What somebody says to question `number`: a choice, or a number from 1 to 5 on each scale and a comment."""

    number: Annotated[int, Field(ge=0, le=1_000_000)]
    choice: Literal["left", "right", "neither", "real", "made"] | None = None
    scales: dict[Literal["quality", "originality", "style"], Annotated[int, Field(ge=1, le=5)]] = {}
    comment: Annotated[str, Field(max_length=500)] = ""
    seconds: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 0.0


_CHOICES: Mapping[Ask, tuple[str | None, ...]] = {
    "pairs": ("left", "right", "neither"),
    "real": ("real", "made"),
    "scales": (None,),
}


def _vote(answer: Answer, asked: Sequence[Question], ask: Ask, expert: bool) -> Vote:
    """What is kept of an answer.

    Raises:
      UserError: it answers another kind of question, or one that there is not.
    """
    if answer.choice not in _CHOICES[ask] or (ask == "scales") != (set(answer.scales) == set(SCALES)):
        raise UserError("this is no answer to the question")
    if answer.number >= len(asked):
        raise UserError("there are no more questions")
    said: Json = {"choice": answer.choice}
    if ask == "scales":
        said = {**{str(name): value for name, value in answer.scales.items()}, "comment": answer.comment}
    return Vote(answer.judge, expert, ask, answer.number, asked[answer.number], said, answer.seconds)


def _path(items: Items, asked: Sequence[Question], number: int, side: str) -> Path:
    """The file of one side of a question; what is not there is 404."""
    if not 0 <= number < len(asked) or side not in ("left", "right"):
        raise HTTPException(404)
    question = asked[number]
    place = question.left if side == "left" else question.right
    if place is None:
        raise HTTPException(404)
    return items.path(*place, question.broken == side)


def create(
    items: Items, votes: Votes, ask: Ask, experts: Sequence[str], hosts: Sequence[str], port: int, token: str = "",
    invited: Sequence[str] = (),
) -> Guard:  # fmt: skip
    """The page as an ASGI app.

    Args:
      items: what is judged.
      votes: where answers go.
      ask: what is asked.
      experts: judges who count as such.
      hosts: names that requests may call this machine.
      port: where it listens.
      token: of this start; "" draws one.
      invited: judges who get a token of their own: it alone speaks for them, and for nobody else.

    Raises:
      UserError: a name that cannot be one.
    """
    for name in (*experts, *invited):
        _check_name(name)
    app = FastAPI(title="genart judge", version="1", docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    pages.add_errors(app)
    pages.add_page(app, pages.STATIC, STATIC)

    def plan(judge: str, request: Request) -> list[Question]:
        _check_name(judge)
        who = request.scope[WHO]
        if judge != who and (who or judge in invited):
            raise UserError(f"judge: {judge} has a link of their own" if not who else f"judge: this link is {who}'s")
        return questions(judge, ask, len(items.names), items.each)

    @app.get("/api/who")
    def who(request: Request) -> Json:
        """The judge whose token this is; "" for the one of all who give a name."""
        return {"judge": request.scope[WHO]}

    @app.post("/api/next")
    def next_(who: Judge, request: Request) -> Json:
        """The next question: addresses of pictures, which do not say where they are from."""
        asked, number = plan(who.judge, request), votes.next(who.judge, ask)
        sides = [] if number >= len(asked) else ["left"] if asked[number].right is None else ["left", "right"]
        return {"ask": ask, "number": number, "total": len(asked), "sides": sides, "scales": SCALES}

    @app.post("/api/vote")
    def vote(answer: Answer, request: Request) -> Json:
        """Keeps an answer to the question that is next."""
        given = _vote(answer, plan(answer.judge, request), ask, answer.judge in experts)
        if given.number <= votes.next(answer.judge, ask):
            votes.add(given)
        return next_(answer, request)

    @app.get("/api/pictures/{judge}/{number}/{side}")
    def picture(judge: str, number: int, side: str, request: Request) -> Response:
        """A picture of a judge's question."""
        return Response(_path(items, plan(judge, request), number, side).read_bytes(), media_type="image/png")

    return Guard(app, hosts, port, Limits(), token, invited)


def _check_name(judge: str) -> None:
    if not _NAME.fullmatch(judge):
        raise UserError("judge: wanted a name of letters, digits, dots and dashes, 40 at most")
