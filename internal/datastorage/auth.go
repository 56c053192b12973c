package datastorage

import (
	"context"
	"slices"
	"time"
)

// AuthTokenReview is the auth.mode in which every request to the data needs a bearer token.
const AuthTokenReview = "token_review"

// Auth says who may do what. Accounts are written namespace/serviceaccount.
type Auth struct {
	Mode                            string
	Audiences                       []string
	CacheTTL                        time.Duration
	Writers, Readers, CatalogAdmins []string
}

// Right is what an account needs for an operation.
type Right int

const (
	// MayNothing is the right of an operation that nobody thought of.
	MayNothing Right = iota
	// MayWrite audit events.
	MayWrite
	// MayRead audit events and the catalog, searches included.
	MayRead
	// MayChangeCatalog adds and changes workflows.
	MayChangeCatalog
)

// Allows tells whether the account has the right.
func (a Auth) Allows(account string, right Right) bool {
	switch right {
	case MayWrite:
		return slices.Contains(a.Writers, account)
	case MayRead:
		return slices.Contains(a.Readers, account)
	case MayChangeCatalog:
		return slices.Contains(a.CatalogAdmins, account)
	}
	return false
}

// Authenticator knows bearer tokens.
type Authenticator interface {
	// Account is whose token it is: namespace/serviceaccount, or another name that no list can hold. A token that is not
	// good is an Unauthorized error; Unavailable means that nobody could say.
	Account(ctx context.Context, token string) (string, error)
}
