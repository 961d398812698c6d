"""What controllers learned from recorded studies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metanas_snapshot",
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["sha"], ["metanas_artifact.sha"], name="fk_metanas_snapshot_sha"),
        sa.PrimaryKeyConstraint("sha", name="pk_metanas_snapshot"),
    )


def downgrade() -> None:
    op.drop_table("metanas_snapshot")
