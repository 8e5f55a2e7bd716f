"""The science, pure: arrays and tables in, arrays and tables out. No framework, file or device.

Imports follow the data flow, reversed:

    recipe | overlay | sample > datasets > features > patches > locations > tissue > slide > frames

NumPy, pandas, shapely, pydantic and OpenCV (as an array library) may be used here; dagster, torch,
zarr, openslide, sqlalchemy and psutil may not.
"""
