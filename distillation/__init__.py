"""Records, errors, objects, model families and telemetry: what more than one step needs."""
