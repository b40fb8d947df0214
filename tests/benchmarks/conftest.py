"""The modules of `benchmarks/`, which is a folder of scripts, no package."""

import sys

from house.rooms import ROOT

sys.path.append(str(ROOT / "benchmarks"))
