"""An AWS emulator in this process, into which the synthesised templates are deployed unchanged."""
