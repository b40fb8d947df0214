"""A key or a file becomes arrays, with provenance; nothing here knows a model."""

from neurode.data.batches import ArrayBatches as ArrayBatches
from neurode.data.batches import FullBatch as FullBatch
from neurode.data.calendar import Calendar as Calendar
from neurode.data.densities import ENERGIES as ENERGIES
from neurode.data.densities import Arcs as Arcs
from neurode.data.densities import Energy as Energy
from neurode.data.densities import two_circles as two_circles
from neurode.data.densities import two_moons as two_moons
from neurode.data.deskewing import deskew as deskew
from neurode.data.errors import DataError as DataError
from neurode.data.events import Events as Events
from neurode.data.events import read_event_file as read_event_file
from neurode.data.events import read_event_groups as read_event_groups
from neurode.data.events import read_events as read_events
from neurode.data.labelled import LabelledRows as LabelledRows
from neurode.data.labelled import read_labelled as read_labelled
from neurode.data.mnist import MNIST as MNIST
from neurode.data.mnist import load_mnist as load_mnist
from neurode.data.mnist import random_crop as random_crop
from neurode.data.mnist import scale_pixels as scale_pixels
from neurode.data.rows import Rows as Rows
from neurode.data.rows import read_rows as read_rows
from neurode.data.series import SeriesBatch as SeriesBatch
from neurode.data.shipped import coal_disasters as coal_disasters
from neurode.data.shipped import lynx_hare as lynx_hare
from neurode.data.shipped import mauna_loa_co2 as mauna_loa_co2
from neurode.data.shipped import old_faithful as old_faithful
from neurode.data.spirals import Spirals as Spirals
from neurode.data.spirals import make_spirals as make_spirals
from neurode.data.tables import Table as Table
from neurode.data.tables import read_table as read_table
from neurode.data.tables import table_from_frame as table_from_frame

__all__ = [
    "ENERGIES",
    "MNIST",
    "Arcs",
    "ArrayBatches",
    "Calendar",
    "DataError",
    "Energy",
    "Events",
    "FullBatch",
    "LabelledRows",
    "Rows",
    "SeriesBatch",
    "Spirals",
    "Table",
    "coal_disasters",
    "deskew",
    "load_mnist",
    "lynx_hare",
    "make_spirals",
    "mauna_loa_co2",
    "old_faithful",
    "random_crop",
    "read_event_file",
    "read_event_groups",
    "read_events",
    "read_labelled",
    "read_rows",
    "read_table",
    "scale_pixels",
    "table_from_frame",
    "two_circles",
    "two_moons",
]
