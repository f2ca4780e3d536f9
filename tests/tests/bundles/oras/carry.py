"""Copies an artifact to another repository as oras-py does: into a layout on the disk, and from there.

In:  FROM and TO, as registries name them, and a folder that is not there yet. Out: the copy.
"""

import sys

from oras.layout import NewLayoutFromRegistry
from oras.provider import Registry

source, target, folder = sys.argv[1:]
registry = Registry(insecure=True)  # by HTTP
NewLayoutFromRegistry(folder, registry, source).push_to_registry(registry, target)
