"""A program of somebody who has never heard of Pilothouse: arguments in, lines of text out."""

import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--nesterov", action="store_true")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

random.seed(args.seed)
points = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(1200)]
examples = [(x, y, 1.0 if x + 2 * y + random.gauss(0, 0.5) > 0.5 else 0.0) for x, y in points]
weights, speed = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]


def probability(x: float, y: float, w: list[float]) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, w[0] * x + w[1] * y + w[2]))))


for epoch in range(1, args.epochs + 1):
    for x, y, label in examples[:1000]:
        ahead = args.momentum if args.nesterov else 0.0
        seen = [w + ahead * v for w, v in zip(weights, speed, strict=True)]
        error = probability(x, y, seen) - label
        for place, value in enumerate((x, y, 1.0)):
            speed[place] = args.momentum * speed[place] - args.lr * error * value
            weights[place] += speed[place]
    hits = sum(
        (probability(x, y, weights) > 0.5) == (label > 0.5) for x, y, label in examples[1000:]
    )
    print(f"epoch {epoch}/{args.epochs}  val_acc {hits / 200:.3f}")
