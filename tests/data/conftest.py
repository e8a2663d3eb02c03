"""Small stand-ins for Omniglot's archives, and for the site that they come from."""

import hashlib
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from fewstep.data import omniglot


@pytest.fixture
def small(monkeypatch):
    """Expect two characters in each part instead of all."""
    monkeypatch.setattr(omniglot, "CHARACTERS", dict.fromkeys(omniglot.CHARACTERS, 2))


@pytest.fixture
def write_both(tmp_path_factory, monkeypatch):
    """Write both archives into a folder's omniglot/; what is given changes the first."""
    # An archive damaged inside still lists what the whole one does, which another test may have
    # put into the shared cache.
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path_factory.mktemp("cache")))

    def write(folder, **first):
        write_archive(folder / "omniglot" / "images_background.zip", **first)
        write_archive(folder / "omniglot" / "images_evaluation.zip")

    return write


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The authors' site: here, with two small archives."""
    folder = tmp_path / "site"
    md5 = {name: hashlib.md5(write_archive(folder / name)).hexdigest() for name in omniglot.MD5}
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        monkeypatch.setattr(omniglot, "URL", f"http://127.0.0.1:{site.server_port}/")
        monkeypatch.setattr(omniglot, "MD5", md5)
        monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
        yield folder
        site.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def write_archive(path, characters=2, drawings=20, extra=(), content=None):
    """An archive in Omniglot's layout; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blank = io.BytesIO()
    Image.new("1", (105, 105), 1).save(blank, "png")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/", b"")
        archive.writestr("__MACOSX/._x", b"")
        for c in range(characters):
            for d in range(drawings):
                name = f"{path.stem}/{path.stem[7:]}/character{c:02}/0_{d:02}.png"
                archive.writestr(name, content or blank.getvalue())
        for entry in extra:
            archive.writestr(*entry)
    return path.read_bytes()
