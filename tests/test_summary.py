"""The table of layers of nested models with several inputs."""

import pytest

import fastdl
from fastdl import nn


def test_summary_of_nested_models_with_several_inputs():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(10, 4)
            self.reader = nn.LSTM(4, 6, batch_first=True)

        def forward(self, x):
            return self.reader(self.words(x))[0][:, -1]

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.text, self.image = Branch(), nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
            self.head = nn.Linear(6 + 18, 2)

        def forward(self, text, image):
            return self.head(fastdl.cat([self.text(text), self.image(image)], 1))

    found = fastdl.summary(Both(), [(7,), (1, 5, 5)], ["int64", None])
    assert [(r.name, r.output_shape, r.params) for r in found.rows] == [
        ("text.words", (None, 7, 4), 40), ("text.reader", [(None, 7, 6), [(None, 1, 6), (None, 1, 6)]], 288),
        ("image.0", (None, 2, 3, 3), 20), ("image.1", (None, 18), 0), ("head", (None, 2), 50),
    ]  # fmt: skip
    assert found.total_params == 398
    with pytest.raises(ValueError, match=r"\[summary\] expected 2 dtypes, got 1"):
        fastdl.summary(Both(), [(7,), (1, 5, 5)], ["int64"])
