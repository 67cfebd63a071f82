"""Everything around the pipeline: settings, commands, the local stack, the simulator and the live view."""
