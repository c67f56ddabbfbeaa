"""What pyproject.toml cannot say: the list of packages, and bench.toml inside the wheel."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

MAPPED = ["bench.priors", "bench.posteriors", "bench.datasets"]


class BuildWithDefaults(build_py):
    """Copy bench.toml, which users edit at the root of a checkout, into the built package.

    An editable install reads the file where it lies, so nothing is copied there.
    """

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "bench" / "bench.toml"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile("bench.toml", target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = list(super().get_outputs(include_bytecode))
        if not self.editable_mode:
            outputs.append(str(Path(self.build_lib) / "bench" / "bench.toml"))
        return outputs


setup(
    packages=[*find_packages(include=["bench", "bench.*"]), *MAPPED],
    cmdclass={"build_py": BuildWithDefaults},
)
