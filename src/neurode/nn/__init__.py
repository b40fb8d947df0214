"""Pieces of networks: vector fields, convolutions and blocks; no loss and no data."""

from neurode.nn.blocks import ConvDownsampling as ConvDownsampling
from neurode.nn.blocks import GroupNorm as GroupNorm
from neurode.nn.blocks import ODEBlock as ODEBlock
from neurode.nn.blocks import ResidualBlock as ResidualBlock
from neurode.nn.blocks import ResidualDownsampling as ResidualDownsampling
from neurode.nn.conv import Conv as Conv
from neurode.nn.conv import convolve as convolve
from neurode.nn.conv_fields import ConcatConv as ConcatConv
from neurode.nn.conv_fields import ConvField as ConvField
from neurode.nn.depth_fields import DepthVarying as DepthVarying
from neurode.nn.encoders import Encoder as Encoder
from neurode.nn.mlp import MLP as MLP
from neurode.nn.mlp import apply_linear as apply_linear
from neurode.nn.planar import PlanarField as PlanarField
from neurode.nn.recurrent import ElmanCell as ElmanCell
from neurode.nn.recurrent import GRUCell as GRUCell
from neurode.nn.squash_fields import ConcatSquashField as ConcatSquashField
from neurode.nn.traces import ExactTrace as ExactTrace
from neurode.nn.traces import Hutchinson as Hutchinson
from neurode.nn.traces import Trace as Trace
from neurode.nn.vector_fields import MLPField as MLPField

__all__ = [
    "MLP",
    "ConcatConv",
    "ConcatSquashField",
    "Conv",
    "ConvDownsampling",
    "ConvField",
    "DepthVarying",
    "ElmanCell",
    "Encoder",
    "ExactTrace",
    "GRUCell",
    "GroupNorm",
    "Hutchinson",
    "MLPField",
    "ODEBlock",
    "PlanarField",
    "ResidualBlock",
    "ResidualDownsampling",
    "Trace",
    "apply_linear",
    "convolve",
]
