package httpapi

import (
	"net/http"
	"strings"

	"github.com/kubernaut-ai/kubernaut/internal/datastorage"
)

// authorize finds out who asks and whether they may. Without an authenticator everybody may everything; probes and
// metrics are always open.
func (h *handler) authorize(r *http.Request, i *info) error {
	right := rules[i.operation].right
	if h.Authenticator == nil || rules[i.operation].class == free {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return &datastorage.Error{Kind: datastorage.Unauthorized, Detail: "a bearer token is required"}
	}
	account, err := h.Authenticator.Account(r.Context(), token)
	if err != nil {
		return err
	}
	if !h.Auth.Allows(account, right) {
		return &datastorage.Error{Kind: datastorage.Forbidden, Detail: "the account " + datastorage.Quote(account) + " may not do this"}
	}
	i.account = account
	return nil
}
