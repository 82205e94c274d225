"""Keras's first tutorial, followed with fastdl: a dense and a convolutional network for digits, with compile, fit,
evaluate and predict under the names they have here.

    python examples/from_keras.py            about half a minute on two cores
    python examples/from_keras.py --short    a few batches of everything

    keras                                       fastdl
    Sequential([Dense(128, "relu"), ...])       nn.Sequential(nn.Linear(784, 128), nn.ReLU(), ...)
    model.summary()                             fastdl.summary(model, shape)
    model.compile(optimizer, loss, metrics)     Trainer(model, optimizer, loss_fn, metrics=...)
    model.fit(x, y, validation_split=...)       trainer.fit(batches, epochs, validation=...)
    model.evaluate(x, y)                        trainer.evaluate(batches)
    model.predict(x)                            predict(model, batches)

Layers name their input size, images are (channels, height, width), and the loss takes the numbers before the softmax.
"""

import argparse

from options import add_device, fewer, part

import fastdl
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset, load_digits, random_split
from fastdl.train import EarlyStopping, Trainer, predict


def dense() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    )  # fmt: skip


def train(model: nn.Sequential, training: TensorDataset, test: TensorDataset, epochs: int) -> float:
    print(fastdl.summary(model, (1, 28, 28)))
    held_back = len(training) // 10  # validation_split=0.1
    fitted, validation = random_split(training, [len(training) - held_back, held_back])
    trainer = Trainer(
        model, optim.Adam(model.parameters()), nn.CrossEntropyLoss(), callbacks=[EarlyStopping(patience=3)]
    )
    history = trainer.fit(
        DataLoader(fitted, batch_size=64, shuffle=True), epochs=epochs, validation=DataLoader(validation, 256)
    )
    print("history:", {name: [round(v, 4) for v in values] for name, values in history.columns.items()})
    found = trainer.evaluate(DataLoader(test, batch_size=256))
    print(f"test loss: {found['loss']:.4f}, test accuracy: {found['accuracy']:.4f}")
    images, labels = (a[:: len(test) // 5] for a in test.arrays)
    probabilities = predict(model, DataLoader(TensorDataset(images), 5)).softmax(1)
    print("probabilities of five of them:", probabilities, sep="\n")
    print(f"predicted {probabilities.argmax(1).tolist()}, true {labels.tolist()}\n")
    return found["accuracy"]


def main(arguments: list[str] | None = None) -> list[float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few batches of everything")
    add_device(parser)
    args = parser.parse_args(arguments)
    fastdl.manual_seed(0)
    fastdl.set_printoptions(sci_mode=False)
    training, test = load_digits(train=4000)
    if args.short:
        training, test = (TensorDataset(*(a[::10] for a in part.arrays)) for part in (training, test))
    training, test = part(training, args.device, 40), part(test, args.device)
    print(f"{len(training)} training images, {len(test)} test images")
    epochs = fewer(2 if args.short else 8, args.device)
    accuracies = [train(build().to(args.device), training, test, epochs) for build in (dense, convolutional)]
    fastdl.set_printoptions(profile="default")
    return accuracies


if __name__ == "__main__":
    main()
