"""PyTorch's "60-minute blitz", followed with fastdl: tensors, gradients, a network, a classifier of real digits.

    python examples/from_pytorch.py            about half a minute on two cores
    python examples/from_pytorch.py --short    a few steps of everything

What changes in a PyTorch program is the imports; the comments say where something else does.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl as torch  # a program that says torch everywhere goes on saying it
import fastdl.nn.functional as F
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset, load_digits


def tensors() -> None:
    print("1. Tensors")
    data = torch.tensor([[1, 2], [3, 4]])
    shares = torch.from_numpy(np.ones(5))
    like = torch.rand_like(data, dtype=torch.float)
    print(f"shape {like.shape}, datatype {like.dtype}, stored on {like.device}")
    x = torch.ones(4, 4)
    x[:, 1] = 0  # as there; but x[:, 1] alone is a copy here, so x[:, 1].zero_() would not change x
    print(torch.cat([x, x], dim=1))
    print(x.mul(x).sum(), (x @ x.T)[0], torch.einsum("ij,kj->ik", x, x)[0], sep="\n")
    x.add_(5)
    print(f"shared with NumPy: {(shares + 1).numpy()}, x is now {x.min().item():g} to {x.max().item():g}\n")


def gradients() -> None:
    print("2. Gradients")
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    q = 3 * a**3 - b**2
    print(q)
    q.backward(gradient=torch.tensor([1.0, 1.0]))
    print(f"a.grad is 9 a^2: {torch.equal(9 * a**2, a.grad)}; b.grad is -2 b: {torch.equal(-2 * b, b.grad)}\n")


class Net(nn.Module):
    """LeNet as the tutorial has it, for images of 28 x 28: two convolutions, three linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def network() -> None:
    print("3. A neural network")
    net = Net()
    print(net)
    print(f"{len(list(net.parameters()))} parameters, the first of shape {next(net.parameters()).shape}")
    out = net(torch.randn(1, 1, 28, 28))
    loss = nn.MSELoss()(out, torch.randn(1, 10))
    print(f"loss {loss.item():.4f}, from {loss.grad_fn}")
    net.zero_grad()
    loss.backward()
    print(f"conv1.bias.grad after backward\n{net.conv1.bias.grad}")
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    optimizer.step()
    print()


def classifier(short: bool, device: str = "cpu") -> float:
    print("4. Training a classifier")
    training, test = load_digits(train=4000)
    if short:
        training, test = (TensorDataset(*(a[::10] for a in part.arrays)) for part in (training, test))
    training, test = part(training, device), part(test, device)
    loader = DataLoader(training, batch_size=4, shuffle=True)
    net = Net().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.01 if short else 0.002, momentum=0.9)
    for epoch in range(fewer(4, device)):
        running_loss = 0.0
        for i, (inputs, labels) in enumerate(loader):
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if i % 250 == 249:
                print(f"[{epoch + 1}, {i + 1:4d}] loss: {running_loss / 250:.3f}")
                running_loss = 0.0
    print("Finished Training")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        torch.save(net.state_dict(), path)  # safetensors instead of pickle
        net = Net().to(device)
        net.load_state_dict(torch.load(path))
    correct, total = torch.zeros(10), torch.zeros(10)
    with torch.no_grad():
        for images, labels in DataLoader(test, batch_size=100):
            _, predicted = torch.max(net(images.to(device)), 1)
            for label, guess in zip(labels.tolist(), predicted.tolist(), strict=True):
                correct[label] += int(label == guess)
                total[label] += 1
    accuracy = (correct.sum() / total.sum()).item()
    print(f"Accuracy of the network on the {int(total.sum())} test images: {accuracy:.1%}")
    for digit, share in enumerate((correct / total).tolist()):
        print(f"Accuracy for class {digit}: {share:.1%}")
    return accuracy


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few steps of everything")
    add_device(parser)
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    tensors()
    gradients()
    network()
    return classifier(args.short, args.device)


if __name__ == "__main__":
    main()
