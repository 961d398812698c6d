"""The first tables.

Column types are SQLAlchemy's plain ones, not those of ``storage.models``: a revision stays as it
was when the models move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _things()
    _studies()
    _trials()


def downgrade() -> None:
    for name in ("scorecard", "trial", "result", "event", "worker", "study", "candidate", "artifact"):
        op.drop_table(f"metanas_{name}")


def _things() -> None:
    op.create_table(
        "metanas_artifact",
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha", name="pk_metanas_artifact"),
    )
    op.create_table(
        "metanas_candidate",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metanas_candidate"),
    )


def _studies() -> None:
    op.create_table(
        "metanas_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metanas_study"),
        sa.UniqueConstraint("name", name="uq_metanas_study_name"),
    )
    op.create_table(
        "metanas_worker",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["metanas_study.id"], name="fk_metanas_worker_study_id"),
        sa.PrimaryKeyConstraint("study_id", "owner", name="pk_metanas_worker"),
    )
    op.create_table(
        "metanas_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("trial", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["metanas_study.id"], name="fk_metanas_event_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_metanas_event"),
    )
    op.create_index("ix_metanas_event_study_id", "metanas_event", ["study_id"])
    op.create_table(
        "metanas_result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["metanas_study.id"], name="fk_metanas_result_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_metanas_result"),
    )
    op.create_index("ix_metanas_result_study_id", "metanas_result", ["study_id"])


def _trials() -> None:
    states = "state IN ('running', 'complete', 'pruned', 'failed')"
    op.create_table(
        "metanas_trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("candidate_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rung", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("weights", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("costs", sa.Text(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("curve", sa.Text(), nullable=False),
        sa.Column("valid_curve", sa.Text(), nullable=False),
        sa.CheckConstraint(states, name=op.f("ck_metanas_trial_state")),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["metanas_candidate.id"], name="fk_metanas_trial_candidate_id"
        ),
        sa.ForeignKeyConstraint(["study_id"], ["metanas_study.id"], name="fk_metanas_trial_study_id"),
        sa.ForeignKeyConstraint(["weights"], ["metanas_artifact.sha"], name="fk_metanas_trial_weights"),
        sa.PrimaryKeyConstraint("id", name="pk_metanas_trial"),
        sa.UniqueConstraint("study_id", "number", name="uq_metanas_trial_study_id"),
    )
    op.create_index("ix_metanas_trial_candidate_id", "metanas_trial", ["candidate_id"])
    op.create_index("ix_metanas_trial_study_id", "metanas_trial", ["study_id", "state"])
    op.create_table(
        "metanas_scorecard",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("ci95", sa.Double(), nullable=True),
        sa.Column("tasks", sa.BigInteger(), nullable=False),
        sa.Column("transductive", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["trial_id"], ["metanas_trial.id"], name="fk_metanas_scorecard_trial_id"),
        sa.PrimaryKeyConstraint("trial_id", name="pk_metanas_scorecard"),
    )
