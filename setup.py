"""What is packaged; metadata and tools are in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    # "." and not the default: an editable install then is one path entry, through which Twisted finds the plugin.
    package_dir={"": "."},
    # twisted/ and twisted/plugins/ belong to Twisted: one module is added to them, and never an __init__.py.
    packages=[*find_packages(include=["twistedmilter", "twistedmilter.*"]), "twisted.plugins"],
    package_data={"twistedmilter": ["py.typed", "data/*.toml", "data/*.patterns", "data/*.zone", "data/*.m4"]},
    include_package_data=False,
)
