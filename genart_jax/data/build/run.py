"""Making a set: fetch, make, write, and only then let it be seen."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from genart_jax.config import UserError
from genart_jax.data.build import store
from genart_jax.data.build.catalogue import command, find
from genart_jax.data.build.packages import Tell, brought, fetch
from genart_jax.data.build.recipe import Recipe, Workshop
from genart_jax.runtime.cache import cache_directory, private

_MODULES = {"resvg_py": 'pip install "genart_jax[build]"'}


def build(
    source: str,
    size: int | None = None,
    out: Path | None = None,
    own: tuple[Path, ...] = (),
    keep: bool = False,
    tell: Tell = lambda text: None,
    limit: int | None = None,
) -> Path:
    """Makes a set and returns its folder; one that is there already and whole is left alone.

    It becomes visible all at once, for the user alone. A build that was stopped goes on where it was: packages that are
    here are not fetched again, nor finished pieces made again.

    Args:
      source: its name, with a size if need be: "photos", "pairs-emoji:128".
      size: the same as a number.
      out: an empty folder for it, in place of the user's cache; `--data built:DIR` then opens it.
      own: archives that the user brought, which are not fetched.
      keep: leave the fetched packages in the cache, for other sets that are made from them.
      tell: called with lines about what is done.
      limit: make no more examples than so many, for trying out (only where they are drawn, not found).

    Raises:
      UserError: no such set or size, something that it needs is missing, a wrong archive, or no room on the disk.
    """
    recipe, chosen, _ = find(source)
    size = _size(recipe, chosen, size)
    files = brought(own, recipe.packages, recipe.name)
    target = store.folder_of(recipe, size) if out is None else out
    try:
        for place in (cache_directory(), store.root()):
            private(place)
        if _there(target, recipe, size, limit, out is not None):
            tell(f"{recipe.name} is there already: {target}")
            return target
        _check_needs(recipe)
        with _work_folder(recipe, size, limit) as work:
            packages = private(store.root() / ".packages")
            archives = {p.name: fetch(p, packages, files, recipe.name, tell) for p in recipe.packages}
            shop = Workshop(private(work / "pieces"), archives, tell, limit)
            tell(f"{recipe.name}: making it")
            fresh = work / "set"
            shutil.rmtree(fresh, ignore_errors=True)
            private(fresh)
            store.write(fresh, recipe, size, recipe.make(shop, size), shop)
            _put(fresh, target)
            shutil.rmtree(work)
        for package in recipe.packages if not keep else ():
            (packages / package.sha256).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{recipe.name} cannot be written: {error.strerror or error}; what was fetched is kept in {store.root()}"
            " ($GENART_CACHE), and the same command goes on from there"
        ) from None
    tell(f"{recipe.name}: {target}")
    return target


def _size(recipe: Recipe, chosen: int | None, size: int | None) -> int:
    if chosen is not None and size is not None and chosen != size:
        raise UserError(f"{recipe.name}: {chosen} pixels or {size}? Give one size")
    wanted = chosen or size or recipe.sizes[0]
    if wanted not in recipe.sizes:
        raise UserError(f"{recipe.name}: no size {wanted}; it can be made in {', '.join(map(str, recipe.sizes))}")
    return wanted


def _there(target: Path, recipe: Recipe, size: int, limit: int | None, own: bool) -> bool:
    """Whether a whole set of this recipe is in the folder.

    Raises:
      UserError: the user's own folder holds something else.
    """
    how = command(recipe.name, size)
    with contextlib.suppress(UserError):
        card = store.read_card(target, how)
        store.verify(target, card, how)
        facts = tuple(card.get(key) for key in ("name", "size", "version", "limit"))
        if facts == (recipe.name, size, recipe.version, limit):
            return True
    if own and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} holds something else already; choose an empty folder for --out")
    return False


def _check_needs(recipe: Recipe) -> None:
    for need in recipe.needs:
        if need in _MODULES:
            if importlib.util.find_spec(need) is None:
                raise UserError(f"{recipe.name} is drawn with {need}, which is not installed: {_MODULES[need]}")
        elif shutil.which(need) is None:
            raise UserError(f"{recipe.name} is made with {need}, which is not here; install it, or build the set on a "
                            f"machine that has it with --out DIR, and open it as built:DIR")  # fmt: skip


@contextlib.contextmanager
def _work_folder(recipe: Recipe, size: int, limit: int | None) -> Iterator[Path]:
    """A folder for this very build, and for one process.

    Raises:
      UserError: another process is making the same set.
    """
    key = repr((recipe.name, size, recipe.version, limit, [package.sha256 for package in recipe.packages]))
    work = private(store.root() / f".{recipe.name.replace(':', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}")
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{recipe.name} is being built by another process; wait for it") from None
        yield work


def _put(fresh: Path, target: Path) -> None:
    """The finished folder in its place; what is damaged there goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    try:
        fresh.rename(target)
    except OSError:  # another file system
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(fresh, part)
        part.rename(target)
