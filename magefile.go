//go:build ignore

// The door that needs nothing installed: go run magefile.go -l
package main

import (
	"os"

	"github.com/magefile/mage/mage"
)

func main() { os.Exit(mage.Main()) }
