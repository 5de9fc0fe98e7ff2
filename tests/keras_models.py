"""Small Keras models of every kind of layer, with random weights and statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cislex.models.formats.keras_runtime import import_keras

LENGTH = 60


def convolutions(layers: Any) -> list[Any]:
    return [
        layers.Conv1D(8, 7, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(3),
        layers.Conv1D(8, 3, dilation_rate=2, padding="same", activation="gelu"),
        layers.Dropout(0.3),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2),
    ]


def deepstarr(layers: Any) -> list[Any]:
    """Blocks of DeepSTARR, fewer and narrower."""
    return [
        *(layers.Conv1D(8, 7, padding="same"), layers.BatchNormalization(), layers.ReLU()),
        *(layers.MaxPooling1D(2), layers.Conv1D(6, 3, padding="same"), layers.BatchNormalization()),
        *(layers.ReLU(), layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(16)),
        *(layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.4), layers.Dense(2)),
    ]


def recurrent(layers: Any) -> list[Any]:
    return [
        layers.Conv1D(6, 5, activation="elu"),
        layers.MaxPooling1D(4),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.GRU(4),
        layers.Dense(2),
    ]


def activations(layers: Any) -> list[Any]:
    return [
        layers.Conv1D(8, 5, padding="causal", activation="swish"),
        layers.LayerNormalization(),
        layers.LeakyReLU(),
        layers.AveragePooling1D(2, padding="same"),
        layers.Conv1D(6, 3, strides=2, padding="same", activation="softplus"),
        layers.PReLU(),
        layers.SpatialDropout1D(0.2),
        layers.SeparableConv1D(6, 3, activation="exponential", depthwise_initializer="zeros"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(2, activation="sigmoid"),
    ]


def sequential(build: Callable[[Any], list[Any]]) -> Callable[[Any], Any]:
    return lambda keras: keras.Sequential([keras.Input((LENGTH, 4)), *build(keras.layers)])


def transformer(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((LENGTH, 4))
    h = layers.Conv1D(8, 5, padding="same")(x)
    h = layers.MaxPooling1D(4)(h)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 4)(h, h))
    h = layers.Add()([h, layers.Dense(8)(layers.Dense(16, activation="gelu")(h))])
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(h)))


def operations(keras: Any) -> Any:
    """Products and operations outside of layers, as CREsted and others write them."""
    layers, ops = keras.layers, keras.ops
    x = keras.Input((LENGTH, 4))
    h = layers.Conv1D(8, 5, padding="same")(x)
    gate = ops.sigmoid(layers.Conv1D(8, 1)(h)) * ops.tanh(h)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(gate))
    h = ops.sum(weights * gate, axis=1) + ops.log(1 + ops.exp(ops.max(h, axis=1)))
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()([h, ops.mean(gate, axis=1)])))


def dilated(keras: Any) -> Any:
    """A BPNet, or SpliceAI without its last softmax."""
    layers = keras.layers
    x = keras.Input((None, 4))
    h = layers.Conv1D(8, 7, activation="relu", padding="valid")(x)
    for i in range(3):
        h = layers.add([h, layers.Conv1D(8, 3, dilation_rate=2**i, padding="same", activation="relu")(h)])
    h = layers.Cropping1D(5)(h)
    return keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling1D()(h)))


def two_dimensional(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((LENGTH, 4))
    h = layers.Reshape((LENGTH, 4, 1))(x)
    h = layers.Conv2D(8, (7, 4), activation="relu")(h)
    h = layers.MaxPooling2D((3, 1))(h)
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Permute((2, 1, 3))(h))))


def nested(keras: Any) -> Any:
    inner = sequential(convolutions)(keras)
    x = keras.Input((LENGTH, 4))
    both = keras.layers.Average()([inner(x), inner(keras.ops.flip(x, axis=(1, 2)))])
    return keras.Model(x, both)


MODELS: dict[str, Callable[[Any], Any]] = {
    "convolutions": sequential(convolutions),
    "deepstarr": sequential(deepstarr),
    "recurrent": sequential(recurrent),
    "activations": sequential(activations),
    "transformer": transformer,
    "operations": operations,
    "dilated": dilated,
    "two dimensions": two_dimensional,
    "nested, both strands": nested,
}


def make(build: Callable[[Any], Any], seed: int = 0) -> Any:
    """A model with random weights, biases and statistics."""
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    model = build(keras)
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if "float" not in variable.dtype:
            continue
        value = np.asarray(variable.value.detach().float())
        if "variance" in variable.path or "gamma" in variable.path:
            value = generator.uniform(0.5, 1.5, value.shape)
        elif value.ndim == 1 or not value.any():
            value = 0.2 * generator.normal(size=value.shape)
        variable.assign(value.astype(variable.dtype))
    return model
