"""Noises for evaluation: the 15 corruptions of ImageNet-C and CIFAR-10-C in five severities."""

from pipeline.noises.constants import SEVERITIES, TABLES, Table, table_for
from pipeline.noises.corrupt import CORRUPTIONS, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "TABLES", "Table", "corrupt", "table_for"]
