"""Little packages of the layouts that are fetched: .deb, .tgz and .whl, made from files by their paths."""

import gzip
import io
import lzma
import tarfile
import zipfile


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def deb(files):
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": lzma.compress(tar({"./control": b"Package: toy\n"})),
        "data.tar.xz": lzma.compress(tar({f"./{name}": content for name, content in files.items()})),
    }
    out = b"!<arch>\n"
    for name, content in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def tgz(files):
    return gzip.compress(tar(files))


def wheel(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
