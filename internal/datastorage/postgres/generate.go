package postgres

// go run, not go tool: go tool exits 0 when its tool is killed, and half a generation would pass for a whole one.
//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc generate
