"""The command-line interface, ``distill``. It imports only the library ``distillation``."""
