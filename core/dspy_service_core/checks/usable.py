"""Why a job can use none of some of DSPy's modules and optimizers, for a submit's refusal and for the catalogue."""

from dspy_service_core.optimizers.family_table import family_of
from dspy_service_core.registry.catalogue import ModuleAsset, OptimizerAsset

PYTHON_OBJECT = "a Python object, which a job cannot hold"


def module_refused(asset: ModuleAsset) -> str:
    """Some of DSPy's modules take other modules and no signature. Empty for a module that can be used."""
    return "" if asset.init.find("signature") else "it takes no signature"


def optimizer_refused(asset: OptimizerAsset) -> str:
    return family_of(asset.path).unusable or unfit(asset)


def unfit(asset: OptimizerAsset) -> str:
    """Some optimizers take no training rows."""
    if family_of(asset.path).joins:
        return ""
    for needed in ("student", "trainset"):
        if not asset.compiles_with(needed) and asset.init.find(needed) is None:
            return f"its compile takes no {needed}"
    return ""
