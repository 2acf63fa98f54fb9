"""The types that a model file may contain: data, and classes that are built from data without running code of a file.

The list below is what ``tests/pipeline/test_kept_estimators.py`` finds by storing and loading every estimator of
scikit-learn. A class of another library is judged by its form, and only where the model's recipe names that library.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Mapping
from typing import Any

_named = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*:[A-Za-z_]\w*")

_CLASSES: dict[str, tuple[str, ...]] = {
    "builtins": ("object",),  # what `make_column_selector(dtype_include=object)` holds
    "collections": ("OrderedDict",),
    "functools": ("partial",),
    "lightgbm.sklearn": ("LGBMClassifier", "LGBMRegressor"),
    "numpy": ("dtype",),
    "scipy.interpolate._bsplines": ("BSpline",),
    "scipy.sparse._csr": ("csr_matrix",),
    "sklearn._loss.loss": ("HalfTweedieLoss", "HalfTweedieLossIdentity"),
    "sklearn.calibration": ("_CalibratedClassifier", "_SigmoidCalibration"),
    "sklearn.cluster._bisect_k_means": ("_BisectingTree",),
    "sklearn.compose._column_transformer": ("make_column_selector",),
    "sklearn.ensemble._hist_gradient_boosting.predictor": ("TreePredictor",),
    "sklearn.gaussian_process._gpc": ("_BinaryGaussianProcessClassifierLaplace",),
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern",
        "PairwiseKernel", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
    ),
    "sklearn.metrics._dist_metrics": tuple(
        f"{name}Distance{bits}"
        for bits in (64, 32)
        for name in ("BrayCurtis", "Canberra", "Chebyshev", "Dice", "Euclidean", "Hamming", "Haversine", "Jaccard",
                     "Mahalanobis", "Manhattan", "Minkowski", "RogersTanimoto", "RussellRao", "SEuclidean",
                     "SokalSneath")
    ),
    "sklearn.metrics._scorer": ("_CurveScorer", "_PassthroughScorer", "_Scorer"),
    "sklearn.model_selection._search_successive_halving": ("HalvingGridSearchCV", "HalvingRandomSearchCV"),
    "sklearn.model_selection._split": (
        "GroupKFold", "GroupShuffleSplit", "KFold", "PredefinedSplit", "RepeatedKFold", "RepeatedStratifiedKFold",
        "ShuffleSplit", "StratifiedGroupKFold", "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
    ),
    "sklearn.multiclass": ("_ConstantPredictor",),
    "sklearn.neighbors._ball_tree": ("BallTree",),
    "sklearn.neighbors._kd_tree": ("KDTree",),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
    "sklearn.tree._tree": ("Tree",),
    "sklearn.utils._bunch": ("Bunch",),
    "sklearn.utils._metadata_requests": ("MetadataRequest", "MethodMetadataRequest"),
    "tallystick.pipeline.models.native_part": ("NativePart",),
    "tallystick.pipeline.models.onnx_model": ("OnnxModel",),
    "xgboost.sklearn": ("XGBClassifier", "XGBRFClassifier", "XGBRFRegressor", "XGBRegressor"),
}  # fmt: skip

_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "numpy": ("max", "mean", "median", "min"),  # the pooling of FeatureAgglomeration
    "scipy._lib.array_api_compat.numpy._aliases": ("asarray",),
    "sklearn.cluster._kmeans": ("_kmeans_single_elkan", "_kmeans_single_lloyd"),
    "sklearn.feature_selection._mutual_info": ("mutual_info_classif", "mutual_info_regression"),
    "sklearn.feature_selection._univariate_selection": ("chi2", "f_classif", "f_regression", "r_regression"),
    "sklearn.metrics._classification": (
        "accuracy_score", "balanced_accuracy_score", "brier_score_loss", "f1_score", "log_loss", "matthews_corrcoef",
        "precision_score", "recall_score",
    ),
    "sklearn.metrics._ranking": ("average_precision_score", "roc_auc_score"),
    "sklearn.metrics._regression": (
        "max_error", "mean_absolute_error", "mean_gamma_deviance", "mean_pinball_loss", "mean_poisson_deviance",
        "mean_squared_error", "median_absolute_error", "r2_score", "root_mean_squared_error",
    ),
    "sklearn.utils.validation": ("check_array",),
}  # fmt: skip
"""Functions that an estimator calls with a table or with answers. None of them opens, imports or starts anything."""

ALLOWED_TYPES = frozenset(
    f"{module}.{name}" for table in (_CLASSES, _FUNCTIONS) for module, names in table.items() for name in names
)
"""Types outside skops' own list that a model file may contain."""

_BUILT_HERE = (
    "builtins.", "collections.", "numpy.", "functools.partial",
    "sklearn._loss.", "sklearn.calibration.", "sklearn.compose.", "sklearn.dummy.",
    "sklearn.ensemble._hist_gradient_boosting.", "sklearn.ensemble._forest.", "sklearn.frozen.", "sklearn.impute.",
    "sklearn.linear_model.", "sklearn.pipeline.", "sklearn.preprocessing.", "sklearn.tree.", "sklearn.utils.",
)  # fmt: skip
"""Beginnings of the types whose content is followed by Python and NumPy, or by compiled code after a check of ours."""


def refused_types(types: Collection[str], packages: Collection[str] = ()) -> list[str]:
    """Those of the types that a model file may not contain, sorted.

    Parameters
    ----------
    packages : collection of str
        Top-level packages that the model's recipe names: their estimators are judged by their form.
    """
    return sorted(name for name in set(types) - ALLOWED_TYPES if not _is_plain_estimator(name, packages))


def packages_named(estimator: str, params: Mapping[str, object]) -> frozenset[str]:
    """The top-level packages that a recipe names, in its estimator or in a parameter as ``"xgboost:XGBRegressor"``."""
    named = [estimator, *(value for value in params.values() if isinstance(value, str))]
    found = {match[1] for text in named if (match := _named.fullmatch(text))}
    return frozenset(found - {"pipeline"})


def needs_a_process(types: Collection[str]) -> bool:
    """Whether a file with these types is first loaded in a process of its own.

    Compiled code follows the content of such types without checking it, so a crafted file could end the process.
    """
    return not all(name.startswith(_BUILT_HERE) for name in types)


def _is_plain_estimator(name: str, packages: Collection[str]) -> bool:
    """Whether it is an estimator that is built by setting its attributes: nothing of its own runs for that."""
    module_name, _, class_name = name.rpartition(".")
    if module_name.partition(".")[0] not in packages:
        return False
    from sklearn.base import BaseEstimator

    try:
        found: Any = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError:
        return False
    return (
        isinstance(found, type)
        and issubclass(found, BaseEstimator)
        and getattr(found, "__new__", None) is object.__new__
        and getattr(found, "__setstate__", None) is BaseEstimator.__setstate__
    )
