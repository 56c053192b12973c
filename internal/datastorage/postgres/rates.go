package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
	"github.com/kubernaut-ai/kubernaut/internal/datastorage/postgres/db"
)

// maxGroups bounds what one answer is made of: names come from event_data, where a sender may write anything.
const maxGroups = 10_000

// CountExecutions counts by every dimension; see datastorage.RateStore.
func (s *Store) CountExecutions(ctx context.Context, f datastorage.RateFilter) (found []datastorage.Executions, err error) {
	err = s.reading(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := db.New(conn).CountExecutions(ctx, db.CountExecutionsParams{Since: f.Since, SinceDate: *day(&f.Since),
			IncidentType: f.IncidentType, WorkflowID: f.WorkflowID, WorkflowVersion: f.WorkflowVersion, ActionType: f.ActionType, GroupLimit: maxGroups})
		if err != nil {
			return fmt.Errorf("counting executions: %w", err)
		}
		var rest datastorage.Rate
		for _, row := range rows {
			rest = datastorage.Rate{Total: int(row.AllTotal), Successful: int(row.AllSuccessful)}
			found = append(found, datastorage.Executions{IncidentType: row.IncidentType, WorkflowID: row.WorkflowID, WorkflowVersion: row.WorkflowVersion,
				ActionType: row.ActionType, Rate: datastorage.Rate{Total: int(row.Total), Successful: int(row.Successful)}})
		}
		sum := datastorage.SumOf(found)
		rest.Total, rest.Successful = rest.Total-sum.Total, rest.Successful-sum.Successful
		if rest.Total > 0 {
			found = append(found, datastorage.Executions{Rate: rest})
		}
		return nil
	})
	return found, err
}
