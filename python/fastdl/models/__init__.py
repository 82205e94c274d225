"""Classification networks under the names of `torchvision.models`, and tools to look at and reuse them.

Weights come from files that the reader has (`weights="resnet18.pth"`); nothing is downloaded.
"""

from ._api import get_model, list_models
from .alexnet import AlexNet, AlexNetPublished, alexnet, alexnet_two_groups, alexnet_undivided
from .cifar import CifarResNet, plain20_cifar, plain56_cifar, resnet20_cifar, resnet56_cifar
from .digits import digits_network
from .feature_extraction import create_feature_extractor, multiply_adds
from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .googlenet_published import GoogLeNetPublished, NaiveInception, ReducedInception, googlenet_published
from .inception import Inception3, InceptionOutputs, inception_v3
from .mobilenetv2 import MobileNetV2, mobilenet_v2
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet50_published,
    resnet101,
    resnet101_published,
    resnet152,
    resnet152_published,
)
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "AlexNet",
    "AlexNetPublished",
    "CifarResNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "GoogLeNetPublished",
    "Inception3",
    "InceptionOutputs",
    "MobileNetV2",
    "NaiveInception",
    "ReducedInception",
    "ResNet",
    "alexnet",
    "alexnet_two_groups",
    "alexnet_undivided",
    "create_feature_extractor",
    "digits_network",
    "get_model",
    "googlenet",
    "googlenet_published",
    "inception_v3",
    "list_models",
    "mobilenet_v2",
    "multiply_adds",
    "plain20_cifar",
    "plain56_cifar",
    "resnet18",
    "resnet20_cifar",
    "resnet34",
    "resnet50",
    "resnet50_published",
    "resnet56_cifar",
    "resnet101",
    "resnet101_published",
    "resnet152",
    "resnet152_published",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]
