"""A worker without models: it does what the job's `do` says, after the lines of the protocol."""

import io
import json
import os
import sys
import threading
import time
from pathlib import Path

from PIL import Image

PICTURE = {"name": "picture", "kind": "picture", "optional": True}
MASK = {"name": "mask", "kind": "mask", "optional": True}
FIELDS = [
    {"name": "do", "kind": "choice", "choices": ["draw", "wait", "stubborn", "die", "fail"], "default": "draw"},
    {"name": "style", "kind": "class", "choices": ["noto", "fluent"]},
    {"name": "seed", "kind": "integer", "low": 0, "high": 2**31 - 1, "default": 0},
    {"name": "truncation", "kind": "number", "low": 0.0, "high": 1.5, "default": 1.0},
]
ZIP = {"name": "pictures", "kind": "archive"}
FORMS = [
    {"kind": "create", "group": "create", "model": "stub", "fields": FIELDS},
    {
        "kind": "train",
        "group": "train",
        "model": "stub",
        "fields": [FIELDS[0], {"name": "pictures", "kind": "archive"}],
    },
    {"kind": "transform", "group": "restore", "model": "stub", "fields": [*FIELDS, PICTURE, MASK]},
]
stopped = set()
content = io.BytesIO()
Image.new("RGB", (8, 8), "teal").save(content, "PNG")
PNG = content.getvalue()


def tell(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def read():
    for line in sys.stdin:
        message = json.loads(line)
        if "cancel" in message:
            stopped.add(message["cancel"])
        else:
            threading.Thread(target=work, args=(message["job"],), daemon=True).start()
    os._exit(0)


def work(job):
    what, id_ = job["inputs"]["do"], job["id"]
    if what == "die":
        os._exit(3)
    if what == "fail":
        tell(event="failed", job=id_, text="not today")
        return
    place = Path(job["place"])
    place.mkdir(parents=True, exist_ok=True)
    (place / "pid").write_text(str(os.getpid()))
    while what in ("wait", "stubborn"):
        tell(event="progress", job=id_, share=0.5, text="")
        time.sleep(0.02)
        if what == "wait" and id_ in stopped:
            tell(event="cancelled", job=id_)
            return
    (place / "secret.png").write_bytes(b"not named")
    result = {"pictures": [{"file": "0.png", "words": "style noto"}], "files": job["files"]}
    if "mask" in job["files"]:
        result["pictures"].append({"file": "1.png", "words": "before"})
        result["slider"] = True
    for one in result["pictures"]:
        (place / one["file"]).write_bytes(PNG + id_.encode())
    tell(event="done", job=id_, result=result)


def main():
    if sys.argv[1:2] == ["after"]:  # a file is there
        while not Path(sys.argv[2]).exists():
            time.sleep(0.02)
    tell(event="model", model={"name": "stub", "forms": FORMS, "trouble": ""})
    tell(event="ready")
    read()


if __name__ == "__main__":
    if sys.argv[1:] == ["broken"]:
        sys.exit("no such thing")
    main()
