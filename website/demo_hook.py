"""The demonstration on the site, in demo/."""

from demo_files import runtime, sources
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel


def on_files(files, config):
    """Adds the files of the demonstration."""
    try:
        found = sources(runtime())
    except OSError as error:
        raise PluginError(str(error)) from error
    for name, path in found.items():
        made = File.generated(config, f"demo/{name}", abs_src_path=str(path))
        made.inclusion = InclusionLevel.INCLUDED
        files.append(made)
    return files
