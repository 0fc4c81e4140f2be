"""From a project to an environment: releases that somebody stands behind, plans, moves under a fence, deletion."""
