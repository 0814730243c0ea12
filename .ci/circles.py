"""Refuse files, packages included, that import each other in a circle; late imports and those for types count."""

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

packages = [path.name for path in Path(__file__).parents[1].glob("packages/*/nerbert_*")]
graph = grimp.build_graph("nerbert", *packages, exclude_type_checking_imports=False, cache_dir=None)
imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
try:
    TopologicalSorter(imports).prepare()
except CycleError as error:
    sys.exit("circle of imports: " + " → ".join(reversed(error.args[1])))
print(f"{len(imports)} modules, no circle of imports")
