"""What `pose3d benchmark` measures: one file per sub-command."""
