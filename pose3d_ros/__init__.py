"""Absolute 3D poses of people from a camera, in metres (3DMPPE, Moon et al., ICCV 2019)."""

__version__ = '0.1.0'
