-- Run once, when the data folder is new: the catalog's database is made by the image itself.
CREATE DATABASE dagster;
