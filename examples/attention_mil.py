"""Train attention-based MIL (arXiv:1802.04712) on a dataset; print the AUC of its test part."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

import pathassets

torch.manual_seed(0)
train = pathassets.load_dataset(sys.argv[1], split="train", max_patches=512)
test = pathassets.load_dataset(sys.argv[1], split="test")
rows = torch.cat([bag.features for bag in train])
mean, spread = rows.mean(0), rows.std(0) + 1e-6


class AttentionMIL(nn.Module):
    def __init__(self, n_numbers: int, n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(n_numbers, 32), nn.Tanh(), nn.Dropout(0.25))
        self.attention, self.classify = nn.Linear(32, 1), nn.Linear(32, n_classes)

    def forward(self, bags: pathassets.PaddedBags) -> torch.Tensor:
        rows = self.hidden((bags.features - mean) / spread)
        scores = self.attention(rows).squeeze(2).masked_fill(~bags.mask, -torch.inf)
        return self.classify((scores.softmax(1).unsqueeze(2) * rows).sum(1))


model = AttentionMIL(len(mean), len(train.classes))
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
loader = DataLoader(train, batch_size=8, shuffle=True, collate_fn=pathassets.pad_bags)
for epoch in range(30):
    train.set_epoch(epoch)  # other patches of the slides that have more than 512
    for bags in loader:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(bags), bags.labels).backward()
        optimiser.step()

bags = pathassets.pad_bags(list(test))
score = model.eval()(bags).softmax(1)[:, 1]
above = score[bags.labels == 1][:, None] - score[bags.labels == 0]  # each pair of two classes
auc = ((above > 0) + 0.5 * (above == 0)).mean()  # by ranks: no package is needed for it
print(f"AUC {auc:.2f} of {len(test)} test slides, {train.classes[1]} against {train.classes[0]}")
