"""A key or a file becomes arrays, with provenance; nothing here knows a model."""

from neurode.data.batches import ArrayBatches as ArrayBatches
from neurode.data.batches import FullBatch as FullBatch
from neurode.data.calendar import Calendar as Calendar
from neurode.data.errors import DataError as DataError
from neurode.data.mnist import MNIST as MNIST
from neurode.data.mnist import load_mnist as load_mnist
from neurode.data.mnist import random_crop as random_crop
from neurode.data.mnist import scale_pixels as scale_pixels
from neurode.data.series import SeriesBatch as SeriesBatch
from neurode.data.shipped import lynx_hare as lynx_hare
from neurode.data.shipped import mauna_loa_co2 as mauna_loa_co2
from neurode.data.spirals import Spirals as Spirals
from neurode.data.spirals import make_spirals as make_spirals
from neurode.data.tables import Table as Table
from neurode.data.tables import read_table as read_table
from neurode.data.tables import table_from_frame as table_from_frame

__all__ = [
    "MNIST",
    "ArrayBatches",
    "Calendar",
    "DataError",
    "FullBatch",
    "SeriesBatch",
    "Spirals",
    "Table",
    "load_mnist",
    "lynx_hare",
    "make_spirals",
    "mauna_loa_co2",
    "random_crop",
    "read_table",
    "scale_pixels",
    "table_from_frame",
]
