"""Every annotation of the packages is checked at run time while the tests run."""

from jaxtyping import install_import_hook

_hook = install_import_hook(["avatars", "body_models", "data_prep"], "beartype.beartype")
_hook.__enter__()
