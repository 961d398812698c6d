"""What the families of studies are like."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metanas_fingerprint",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["metanas_study.id"], name="fk_metanas_fingerprint_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_metanas_fingerprint"),
    )
    op.create_index("ix_metanas_fingerprint_key", "metanas_fingerprint", ["key"])


def downgrade() -> None:
    op.drop_table("metanas_fingerprint")
